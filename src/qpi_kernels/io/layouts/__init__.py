"""The vendors' file layouts: headers, pages and records, which the readers in `formats` take apart.

What two formats share, or what would make a reader too long to survey, lies here.
"""
