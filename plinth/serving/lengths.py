"""How long lists are: what is stored, and what is sent without being asked for more.

What belongs here: the numbers, and the kinds of documents that a customer's list is kept in; the API and the benchmarks read them too, so nothing
is imported. What does not: the tables (`tables`) and the documents (`documents`).
"""

LIST_LENGTH = 100
"""Rows of a customer's stored list, which events are blended with: what they speak for may stand far down in it."""
ANSWER_LENGTH = 20
"""Rows of it that are sent where nobody asks for another number."""
SIMILAR_LENGTH = 20
"""Rows of an item's list."""
POPULAR_LENGTH = 100
"""Rows of a country's list: who has bought some of it still gets a full list."""

LIST_KIND, REST_KIND = "recommendations", "recommendations_rest"
"""The documents of a customer's list: the first holds what is sent, as it is sent; the second the rows after it."""
