mod standing;
