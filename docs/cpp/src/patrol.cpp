// A behaviour tree that asks what to do, and acts safely without an answer in time.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "behaviortree_cpp/bt_factory.h"
#include "rclcpp/rclcpp.hpp"
#include "timebill_cpp_asker/ask_leaf.hpp"

using namespace std::chrono_literals;
using timebill_cpp_asker::AskLeaf;
using timebill_cpp_asker::Asker;

static const char * const kTree = R"(
<root BTCPP_format="4">
  <BehaviorTree ID="patrol">
    <Fallback>
      <Sequence>
        <Ask question="A person waves at a robot. What should the robot do?"
             choices="GREET;DRIVE ON" time_budget="2.0" answer="{answer}" reason="{reason}"/>
        <Act what="{answer}"/>
      </Sequence>
      <Act what="DRIVE ON"/>
    </Fallback>
  </BehaviorTree>
</root>
)";

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  const auto node = std::make_shared<rclcpp::Node>("cpp_patrol");
  const auto asker = std::make_shared<Asker>(node);
  BT::BehaviorTreeFactory factory;
  factory.registerNodeType<AskLeaf>("Ask", asker);
  factory.registerSimpleAction(
    "Act",
    [](BT::TreeNode & leaf) {
      std::printf("-> %s\n", leaf.getInput<std::string>("what").value().c_str());
      return BT::NodeStatus::SUCCESS;
    },
    {BT::InputPort<std::string>("what")});
  for (int tries = 0; rclcpp::ok() && !asker->is_connected() && tries < 50; ++tries) {
    rclcpp::spin_some(node);
    rclcpp::sleep_for(100ms);
  }
  auto tree = factory.createTreeFromText(kTree);
  auto status = BT::NodeStatus::RUNNING;
  while (rclcpp::ok() && status == BT::NodeStatus::RUNNING) {
    rclcpp::spin_some(node);
    status = tree.tickOnce();
    tree.sleep(10ms);
  }
  rclcpp::shutdown();
  return status == BT::NodeStatus::SUCCESS ? 0 : 1;
}
