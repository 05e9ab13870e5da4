"""One file with all small files of a run; tables and figures can be made again from it.

    bundle    the zip itself: always written the same, opened only when it is complete
    contents  which files of a run go into it; `pictures`: the images that grids show
    anonymous records and logs without the hosts and folders that they were made in
    crate     ro-crate-metadata.json: who made what from what (Workflow Run RO-Crate); `steps`
    continued a run that goes on from an archive: what is taken of it
    carried   the files that another machine needs of an unfinished run
    rebuilt   compares files made again from an archive with the archive's own

Nothing is imported here: the Snakefile needs `bundle` alone, which uses the standard library only.
"""
