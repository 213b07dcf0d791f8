"""Why an item stands where it stands, measured on the models and said in sentences; and why another does not."""

from serving.reasons.explaining import reasons_for
from serving.reasons.listed import Listed
from serving.reasons.standing import standing_of

__all__ = ["Listed", "reasons_for", "standing_of"]
