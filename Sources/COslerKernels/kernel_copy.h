/* Copies and sums of rows, with conversion. */

OK_INLINE void K(copy_as)(const void *x, bool xb, void *y, bool yb, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) K(store)(K(load)(x, xb, i, 16), y, yb, i, 16);
    if (i < n) K(store)(K(load)(x, xb, i, n - i), y, yb, i, n - i);
}

static void K(copy)(const void *x, bool xb, void *y, bool yb, size_t n)
{
    if (xb == yb) memcpy(y, x, n * (xb ? 2 : 4));
    else if (xb) K(copy_as)(x, true, y, false, n);
    else K(copy_as)(x, false, y, true, n);
}

OK_INLINE void K(add_as)(const void *x, bool xb, void *y, bool yb, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        K(store)(K(load)(y, yb, i, 16) + K(load)(x, xb, i, 16), y, yb, i, 16);
    if (i < n)
        K(store)(K(load)(y, yb, i, n - i) + K(load)(x, xb, i, n - i), y, yb, i, n - i);
}

static void K(add)(const void *x, bool xb, void *y, bool yb, size_t n)
{
    if (xb && yb) K(add_as)(x, true, y, true, n);
    else if (xb) K(add_as)(x, true, y, false, n);
    else if (yb) K(add_as)(x, false, y, true, n);
    else K(add_as)(x, false, y, false, n);
}
