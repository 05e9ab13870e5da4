"""One file with all of a run that is small, and the way back from it to tables and figures.

    bundle    the zip itself: written the same twice, opened only when it is whole
    contents  which files of a run go into it; `pictures`: the images that figures show
    anonymous records and logs without the hosts and folders that they were made in
    crate     ro-crate-metadata.json: who made what from what (Workflow Run RO-Crate); `steps`
    rebuilt   what was made anew from it, held against what it holds

Nothing is imported here: the Snakefile needs `bundle` alone, which uses the standard library only.
"""
