# Drawing from an archive (`--config from_bundle=archive.zip`): its frames are sources, below
# results/bundles/, and the rules that make frames are not part of the workflow.

from pcpo.archive.rebuilt import compare_rebuilt


onsuccess:
    print(compare_rebuilt(ARCHIVE))
