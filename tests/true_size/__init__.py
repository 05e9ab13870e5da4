"""`make test-true-size`: the workflow on the published architectures, with random weights.

python -m tests.true_size --cache FOLDER          every stage that is not done yet
python -m tests.true_size --cache FOLDER --list   the stages, and which are done
"""
