#include "docker/engine/address.h"

#include <gtest/gtest.h>

namespace ebbtide {
namespace {

TEST(EngineAddress, IsRemoteUnlessItIsASocketOrLoopback) {
  for (const auto* near : {"unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "http://127.3.2.1:2375",
                           "tcp://localhost:2375", "https://[::1]:2376"})
    EXPECT_FALSE(EngineAddress::parse(near)->is_remote()) << near;
  for (const auto* far : {"tcp://10.0.0.7:2375", "https://engine.example:2376", "tcp://127.example:2375",
                          "tcp://[fd00::1]:2375", "tcp://localhost.example"})
    EXPECT_TRUE(EngineAddress::parse(far)->is_remote()) << far;
}

}  // namespace
}  // namespace ebbtide
