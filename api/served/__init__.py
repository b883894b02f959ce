"""What a worker serves: its copy of the published version, the visitors' events since then, and the look-out for newer ones.

Nothing here knows HTTP.
"""
