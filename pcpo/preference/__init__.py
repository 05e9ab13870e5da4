"""The preference study with people (appendix B.3.3, Figure 4): docs/preference.md.

    questions     what raters are asked
    checkpoints   which checkpoints are compared: PCPO's and two of the baseline about its reward
    pairs         the pool of image pairs, and its key, which says whose image is whose
    schedule      which pair a rater sees next, and on which sides
    answers       the SQLite store of sessions, questions and answers
    app, limits   the web page for raters, and what one address may ask of it
    frame         answers and key -> the frame `preference`
    analysis      that frame -> win rates, Bradley-Terry, agreement, phones against desktops
    summary       the analysis as text
    simulate      raters that are no people: for power, and to rehearse a study

The page, the store and the schedule never read a key: nobody knows whose image is whose until the
answers are analysed.
"""
