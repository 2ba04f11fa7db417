"""The phases that methods share: profile, retrain, emit."""
