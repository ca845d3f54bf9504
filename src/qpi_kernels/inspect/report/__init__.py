"""The report of an extraction: one file that holds what a reader needs to judge a kernel.

`Report` collects the contents once; `html_page` and `pdf_file` write the same contents.
"""
