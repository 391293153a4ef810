"""Why a ride cost what it cost and why each operator got what it got, so that anyone can recompute it by hand."""
