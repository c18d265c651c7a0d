"""How a run trains: plain, or as MT-DNN."""
