"""The ROS 2 node: topics, parameters, deadlines. rclpy, never torch."""
