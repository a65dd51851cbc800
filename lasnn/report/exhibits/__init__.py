"""One file for each table or figure; `lasnn.report.EXHIBITS` lists them."""
