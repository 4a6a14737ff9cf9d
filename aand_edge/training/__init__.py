"""Both training stages: amplify the anomalies in the teacher, then distil normality into the student."""
