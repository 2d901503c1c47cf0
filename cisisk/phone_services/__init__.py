"""What phones ask of Cisisk over plain HTTP while they run."""
