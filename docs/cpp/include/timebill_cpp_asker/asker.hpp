// Asks the node `timebill`. Each query ends: with an answer, with a miss, or with a miss of our own if no node is there.
#ifndef TIMEBILL_CPP_ASKER__ASKER_HPP_
#define TIMEBILL_CPP_ASKER__ASKER_HPP_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "rclcpp/rclcpp.hpp"
#include "timebill_ros/msg/deadline_miss.hpp"
#include "timebill_ros/msg/query.hpp"
#include "timebill_ros/msg/response.hpp"
#include "timebill_ros/srv/cancel_query.hpp"

namespace timebill_cpp_asker
{

using timebill_ros::msg::DeadlineMiss;
using timebill_ros::msg::Query;
using timebill_ros::msg::Response;
using timebill_ros::srv::CancelQuery;

/// The end of a query.
struct Reply
{
  bool answered = false;
  std::string text;         // the answer
  uint8_t reason = 0;       // of a miss: a constant of DeadlineMiss
  std::string detail;       // of a miss: a sentence
  double probability = 0.0; // of the choice; 0: the query has no choices
};

/// Asks queries, and collects their replies. Spin the node to receive them. Not for several threads.
class Asker
{
public:
  explicit Asker(const rclcpp::Node::SharedPtr & node, const std::string & server = "/timebill")
  : node_(node)
  {
    // As deep as the node's own queues: reliable, volatile.
    const auto qos = rclcpp::QoS(rclcpp::KeepLast(100)).reliable();
    query_publisher_ = node->create_publisher<Query>(server + "/query", qos);
    response_subscription_ = node->create_subscription<Response>(
      server + "/response", qos, [this](const Response & message) {
        Reply reply;
        reply.answered = true;
        reply.text = message.text;
        if (message.choice >= 0) {
          const auto index = static_cast<std::size_t>(message.choice);
          reply.probability = static_cast<double>(message.choice_probabilities.at(index));
        }
        end(message.asker, message.query_id, std::move(reply));
      });
    miss_subscription_ = node->create_subscription<DeadlineMiss>(
      server + "/deadline_miss", qos, [this](const DeadlineMiss & message) {
        end(message.asker, message.query_id, miss(message.reason, message.detail));
      });
    cancel_client_ = node->create_client<CancelQuery>(server + "/cancel");  // last: see greet()
  }

  /// Whether queries reach the node, and its replies reach us. What is sent before is lost. Spin the node meanwhile.
  bool is_connected()
  {
    const bool is_found = query_publisher_->get_subscription_count() > 0 &&
                          response_subscription_->get_publisher_count() > 0 &&
                          miss_subscription_->get_publisher_count() > 0;
    if (!is_found) {
      has_responded_ = false;
    } else if (!has_responded_ && Clock::now() >= greet_at_ && cancel_client_->service_is_ready()) {
      greet();
    }
    return is_found && has_responded_;
  }

  /// Send a query; return its id. The time budget begins now.
  std::string ask(Query query, std::chrono::duration<double> time_budget)
  {
    query.asker = node_->get_fully_qualified_name();
    query.id = std::to_string(++count_);
    query.header.stamp = node_->now();
    query.time_budget = rclcpp::Duration(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time_budget));
    const auto budget = std::chrono::duration_cast<Clock::duration>(time_budget);
    pending_[query.id] = Clock::now() + budget + kGrace;
    query_publisher_->publish(query);
    return query.id;
  }

  /// Return the reply to a query, once; nothing while it has not ended.
  std::optional<Reply> take(const std::string & id)
  {
    if (const auto found = pending_.find(id);
      found != pending_.end() && Clock::now() > found->second)
    {
      // The node replies by the deadline. So it is not there, or was not when we asked.
      pending_.erase(found);
      replies_[id] = miss(DeadlineMiss::NOT_READY, "no reply came from the node");
    }
    const auto found = replies_.find(id);
    if (found == replies_.end()) {
      return std::nullopt;
    }
    Reply reply = std::move(found->second);
    replies_.erase(found);
    return reply;
  }

  /// Withdraw a query whose answer has become useless.
  void cancel(const std::string & id)
  {
    if (pending_.erase(id) > 0 && cancel_client_->service_is_ready()) {
      auto request = std::make_shared<CancelQuery::Request>();
      request->asker = node_->get_fully_qualified_name();
      request->id = id;
      cancel_client_->async_send_request(request, [](rclcpp::Client<CancelQuery>::SharedFuture) {});
    }
  }

private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kGrace{1};
  static constexpr std::chrono::milliseconds kGreetingPeriod{500};

  // DDS announces what a node makes in order. So when the node responds to a service client, it has found the
  // subscriptions that were made before it. The request withdraws nothing: no asker has an empty name.
  void greet()
  {
    auto request = std::make_shared<CancelQuery::Request>();
    request->id = "is the node connected?";
    greet_at_ = Clock::now() + kGreetingPeriod;
    cancel_client_->async_send_request(
      request, [this](rclcpp::Client<CancelQuery>::SharedFuture) {has_responded_ = true;});
  }

  static Reply miss(uint8_t reason, std::string detail)
  {
    Reply reply;
    reply.reason = reason;
    reply.detail = std::move(detail);
    return reply;
  }

  void end(const std::string & asker, const std::string & id, Reply reply)
  {
    // All askers share the reply topics.
    if (asker == node_->get_fully_qualified_name() && pending_.erase(id) > 0) {
      replies_[id] = std::move(reply);
    }
  }

  rclcpp::Node::SharedPtr node_;
  rclcpp::Publisher<Query>::SharedPtr query_publisher_;
  rclcpp::Subscription<Response>::SharedPtr response_subscription_;
  rclcpp::Subscription<DeadlineMiss>::SharedPtr miss_subscription_;
  rclcpp::Client<CancelQuery>::SharedPtr cancel_client_;
  std::map<std::string, Clock::time_point> pending_;
  std::map<std::string, Reply> replies_;
  Clock::time_point greet_at_;
  bool has_responded_ = false;
  uint64_t count_ = 0;
};

}  // namespace timebill_cpp_asker

#endif  // TIMEBILL_CPP_ASKER__ASKER_HPP_
