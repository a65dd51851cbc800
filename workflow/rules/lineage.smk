# Recording in DVC, outside of every rule and after all of them.


onsuccess:
    record_lineage(PRESETS)
