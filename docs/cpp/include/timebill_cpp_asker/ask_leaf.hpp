// A leaf of BehaviorTree.CPP (version 4) that asks the node `timebill` to choose.
#ifndef TIMEBILL_CPP_ASKER__ASK_LEAF_HPP_
#define TIMEBILL_CPP_ASKER__ASK_LEAF_HPP_

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "behaviortree_cpp/action_node.h"
#include "timebill_cpp_asker/asker.hpp"

namespace timebill_cpp_asker
{

/// RUNNING until the reply is there. SUCCESS: `answer` is one of the choices. FAILURE: a miss; `reason` says why.
class AskLeaf : public BT::StatefulActionNode
{
public:
  AskLeaf(
    const std::string & name, const BT::NodeConfig & config, std::shared_ptr<Asker> asker)
  : BT::StatefulActionNode(name, config), asker_(std::move(asker))
  {
  }

  static BT::PortsList providedPorts()
  {
    return {
      BT::InputPort<std::string>("question"),
      BT::InputPort<std::vector<std::string>>("choices", "such as GO;STOP;TURN"),
      BT::InputPort<double>("time_budget", 2.0, "[s]"),
      BT::OutputPort<std::string>("answer"),
      BT::OutputPort<std::string>("reason", "of a miss: a sentence"),
    };
  }

  BT::NodeStatus onStart() override
  {
    Query query;
    const auto question = getInput<std::string>("question");
    const auto choices = getInput<std::vector<std::string>>("choices");
    if (!question || !choices) {
      throw BT::RuntimeError("AskLeaf needs the ports question and choices");
    }
    query.prompt = question.value();
    query.choices = choices.value();
    query.constraint_kind = Query::CHOICES;
    const double time_budget_s = getInput<double>("time_budget").value();
    id_ = asker_->ask(std::move(query), std::chrono::duration<double>(time_budget_s));
    return BT::NodeStatus::RUNNING;
  }

  BT::NodeStatus onRunning() override
  {
    const auto reply = asker_->take(id_);
    if (!reply) {
      return BT::NodeStatus::RUNNING;
    }
    if (!reply->answered) {
      setOutput("reason", reply->detail);
      return BT::NodeStatus::FAILURE;
    }
    setOutput("answer", reply->text);
    return BT::NodeStatus::SUCCESS;
  }

  void onHalted() override {asker_->cancel(id_);}

private:
  std::shared_ptr<Asker> asker_;
  std::string id_;
};

}  // namespace timebill_cpp_asker

#endif  // TIMEBILL_CPP_ASKER__ASK_LEAF_HPP_
