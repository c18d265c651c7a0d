"""Who places the runs: this machine, Ray, Slurm, or the processes of a launcher."""
