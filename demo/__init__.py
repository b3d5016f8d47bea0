"""The demo: five real models of scikit-learn's digits, a load client, and the scenario that releases one after another."""
