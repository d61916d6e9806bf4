#include "docker/engine/image_puller.h"

namespace ebbtide {

std::vector<ImagePuller::Waiter> ImagePuller::waiters_of(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  return waiting_[key];
}

void ImagePuller::pull(Engine& engine, const WantedImage& image, const std::optional<RegistryLogin>& login,
                       Waiter waiter) {
  // Pulls with other credentials are other pulls: a right to an image is not shared.
  const auto key =
      engine.address().text() + "\n" + image.reference + "\n" + image.platform + "\n" + (login ? login->username : "");
  {
    const std::scoped_lock lock(mutex_);
    auto [waiters, first] = waiting_.try_emplace(key);
    waiters->second.push_back(std::move(waiter));
    if (!first) return;
  }
  const auto result = engine.pull_image(image, login, [&](const PullProgress& progress) {
    for (const auto& each : waiters_of(key))
      if (each.progress) each.progress(progress);
  });
  std::vector<Waiter> waiters;
  {
    const std::scoped_lock lock(mutex_);
    waiters = std::move(waiting_.extract(key).mapped());
  }
  for (const auto& each : waiters) each.done(result);
}

}  // namespace ebbtide
