"""Pictures of features, sounds and trainings."""
