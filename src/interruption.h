// How threads that share long work are told to stop.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>

namespace {

inline int64_t monotonic_ns()
{
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// A thread's own: when it asked last, and the longest time between two times.
struct Asked {
  int64_t last_ns = 0, longest_ns = 0;

  void begin() { last_ns = monotonic_ns(), longest_ns = 0; }
};

struct Interruption {
  const int32_t* abort = nullptr;
  int64_t deadline_ns = 0;
  std::atomic<bool> is_due{false};

  void begin(const int32_t* given, int64_t at_ns)
  {
    abort = given;
    deadline_ns = at_ns;
    is_due = false;
  }

  // Asked before each unit of work. The answer stays yes once it was.
  bool must_stop(Asked& own)
  {
    const int64_t now = monotonic_ns();
    own.longest_ns = std::max(own.longest_ns, now - own.last_ns);
    own.last_ns = now;
    if (now >= deadline_ns || (abort && __atomic_load_n(abort, __ATOMIC_RELAXED)))
      is_due.store(true, std::memory_order_relaxed);
    return is_due.load(std::memory_order_relaxed);
  }
};

// Of threads that were asked for an interruption.
template <class Threads>
int64_t longest_unchecked_ns(const Threads& threads)
{
  int64_t longest = 0;
  for (const auto& thread : threads) longest = std::max(longest, thread.asked.longest_ns);
  return longest;
}

}  // namespace
