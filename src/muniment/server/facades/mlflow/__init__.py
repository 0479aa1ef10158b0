"""MLflow's REST, as its own client speaks it.

Registered models are assets of kind model in the namespace `default`, model versions are versions,
aliases are aliases, tags and descriptions are annotations: what is done here is done by the same
actions, and lies in the ledger, as if it were done through our own API. Owns no table.
"""

from muniment.server import federation
from muniment.server.facades.mlflow.rules.webhooks import DIALECT

federation.add_dialect(DIALECT)
