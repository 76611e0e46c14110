"""Two strategies on the same creatives: does the candidate pass its gates, and if nobody can tell, what would tell?"""
