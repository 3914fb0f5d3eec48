// Waiting until an element is seen, or nearly.

const NEAR = "300px"; // above and below what is seen, where the browser knows scrollMargin (the page scrolls in a part of it)

// Resolves when the element comes near what is seen. `keep` gets a function that ends the watching, after which the
// promise is never resolved.
export function whenNear(element, keep) {
  return new Promise((resolve) => {
    const watch = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        watch.disconnect();
        resolve();
      },
      { rootMargin: NEAR, scrollMargin: NEAR },
    );
    watch.observe(element);
    keep(() => watch.disconnect());
  });
}
