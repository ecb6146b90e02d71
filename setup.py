"""Install the Python of timebill_ros without ROS; everything it says is in setup.cfg."""

from setuptools import setup

setup()
