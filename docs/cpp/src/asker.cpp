// Asks one question, and prints the reply.
#include <chrono>
#include <cstdio>
#include <memory>

#include "rclcpp/rclcpp.hpp"
#include "timebill_cpp_asker/asker.hpp"

using namespace std::chrono_literals;
using timebill_cpp_asker::Asker;
using timebill_cpp_asker::Query;

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  const auto node = std::make_shared<rclcpp::Node>("cpp_asker");
  Asker asker(node);
  for (int tries = 0; rclcpp::ok() && !asker.is_connected() && tries < 50; ++tries) {
    rclcpp::spin_some(node);
    rclcpp::sleep_for(100ms);
  }
  Query query;
  query.prompt = "The door ahead is closed. What should the robot do?";
  query.constraint_kind = Query::CHOICES;
  query.choices = {"GO", "TURN", "WAIT"};
  const auto id = asker.ask(query, 2s);
  while (rclcpp::ok()) {
    rclcpp::spin_some(node);
    if (const auto reply = asker.take(id)) {
      if (reply->answered) {
        std::printf("%s (%.0f %% sure)\n", reply->text.c_str(), 100.0 * reply->probability);
      } else {
        std::printf("no answer: %s\n", reply->detail.c_str());
      }
      break;
    }
    rclcpp::sleep_for(10ms);
  }
  rclcpp::shutdown();
  return 0;
}
