"""The documentation's machinery: reference pages made from the code, pictures put into the pages, for mkdocs."""
