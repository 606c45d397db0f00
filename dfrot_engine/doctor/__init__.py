"""What of this computer the program found, what is slow or missing, and what mends it.

Imports only the standard library by itself: it has to answer where everything else is broken.
"""
