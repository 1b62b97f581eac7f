"""What a plan would do, before it is trusted: releases in a world of random numbers, judged by the code that judges real ones.

Needs the extra ``simulation`` (numpy, matplotlib). Nothing that the functions import is here.
"""
