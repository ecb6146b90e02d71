"""Who is next, what is refused, when it ends. Knows neither ROS nor torch."""
