"""What a worker serves.

What belongs here: its copy of the published version, what visitors did since then, and one look for what is newer. What does not: HTTP.
"""
