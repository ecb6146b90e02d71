"""Language-model answers by a deadline: the paper TimeBill as a ROS 2 node.

The generated messages (timebill_ros.msg) live in the install prefix; extending the path lets
Python find them also when it is started in the source tree.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
