# Tables and figures from an archive (`--config from_bundle=archive.zip`): its frames, below
# results/bundles/, are sources, and the workflow has no rules that make frames.

from pcpo.archive.rebuilt import compare_rebuilt


onsuccess:
    print(compare_rebuilt(ARCHIVE))
