"""From champions and tables to what is served: the serving tables, and the documents that the API sends.

What belongs here: which serving tables there are, how a model fills them, and how rows become documents of one published version. What does
not: the models (`plinth.recommend`, `plinth.promote`), which one is champion (`plinth.registry`), and how a version is kept
(`plinth.online`). Nothing goes into a document for which the serving layer's zone is not cleared.
"""
