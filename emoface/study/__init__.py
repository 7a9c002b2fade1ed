"""User studies after ITU-T P.800, P.808 and P.910: design, stimuli, rating form, storage and analysis."""
