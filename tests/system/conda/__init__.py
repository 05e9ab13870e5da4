"""A test double for conda, where none can be installed: `conda` on py-rattler, a local channel.

Real in it: solving, linking and prefix replacement by rattler, the `pip:` section by the new
environment's own pip from the package index, activation. Not real: conda, and conda-forge's python
and pip, for which this interpreter and this pip are wrapped. Whether conda-forge can solve the
environments is therefore not shown by any test here.
"""
