"""Reference reproduction of PCPO: Proportionate Credit Policy Optimization (arXiv 2509.25774).

Importing the package imports nothing heavy: a Snakefile parses `pcpo.config` and `pcpo.paths`
in a fraction of a second, and torch is loaded only by the modules that compute with it.
"""

__version__ = "0.1.0"
