/** The API that the applications of campaigns guard: what tokens for it have in `aud`. */
export const apiAudience = 'https://api.example.com'
