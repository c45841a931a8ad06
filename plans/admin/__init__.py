"""The console's pages of the catalogue: vocabulary, plans, policy rules and prices."""

from plans.admin import plan, policy, price, promise, rollout, sentences, vocabulary  # noqa: F401 - registers them
