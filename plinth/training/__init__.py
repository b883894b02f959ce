"""Training rounds: a model is trained on pinned tables, judged beside the champion on one snapshot, registered, and the decision taken.

What belongs here: the order of a round, which is the same for every model, what each model reads and is judged by, and when training again is
worth it. What does not: learning and the figures (`plinth.recommend`, `plinth.promote`), the record (`plinth.registry`), and what Dagster is told
(`assets.models`, `sensors.retraining`).
"""
