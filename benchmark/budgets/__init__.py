"""Do ratios that fit the time budget answer best? The paper's evaluation."""
