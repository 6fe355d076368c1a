"""What another program reads or writes: requests, settings, names, ledger items, documents."""
